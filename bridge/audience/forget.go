package audience

// Forget drops what is remembered of a user's answers, whoever issued their tokens: the next to ask asks the database.
func (a *Authority) Forget(user string) {
	if a.directory != nil {
		a.directory.memo.drop(user)
	}
}

// drop forgets the answers about a user.
func (m *memo) drop(user string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.flights {
		if k.user == user {
			delete(m.flights, k)
		}
	}
}
