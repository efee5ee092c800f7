package triggers

import "fmt"

// Server says what State was read from.
type Server struct {
	Version   string `json:"version"` // as the server writes it: 15.14
	Database  string `json:"database"`
	Role      string `json:"role"`
	Superuser bool   `json:"superuser"`
}

// Server returns the server, database and role that State was read with.
func (s *State) Server() Server {
	v := &s.server
	return Server{Version: v.version, Database: v.database, Role: v.user, Superuser: v.superuser}
}

// String names them in a line.
func (s Server) String() string {
	power := ""
	if s.Superuser {
		power = " (superuser)"
	}
	return fmt.Sprintf("PostgreSQL %s, database %s, as role %s%s", s.Version, s.Database, s.Role, power)
}

// Schema is the name of rowfeed's own schema.
func (s *State) Schema() string { return s.target.Schema }
