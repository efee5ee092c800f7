package audience

import (
	"strings"
	"unicode"
)

// UserKey returns what all ways to write a user have in common: tokens and columns may write the same one differently
// (42 and 042, a UUID in capitals, a padded char(36)), and a query casts both to one value. It may be the same for two
// users, so it is good for finding those who might be meant, and for nothing else.
func UserKey(user string) string {
	key := strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(unicode.ToUpper(r))
	}, user)
	return strings.TrimLeft(key, "0")
}
