package main

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// demoTokenLife is short, so that the page has to renew its token over the open socket.
const demoTokenLife = 2 * time.Minute

// demoClaims are the claims that the sample ERP's tokens have, those of Django's SimpleJWT.
type demoClaims struct {
	jwt.RegisteredClaims
	UserID string `json:"user_id"`
	Type   string `json:"token_type"`
}

// token mints a token for one of the demo's users: the demo has no log-in.
func (s *demoServer) token(w http.ResponseWriter, r *http.Request) {
	who, ok := s.byID[r.URL.Query().Get("user")]
	if !ok {
		reply(w, http.StatusNotFound, map[string]string{"error": "no such user in this demo"})
		return
	}
	now := time.Now()
	claims := demoClaims{UserID: who.ID, Type: "access", RegisteredClaims: jwt.RegisteredClaims{
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(demoTokenLife)),
	}}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(s.stage.cfg.Auth.JWT.Secret))
	if err != nil {
		reply(w, http.StatusInternalServerError, map[string]string{"error": "the token could not be signed"})
		return
	}
	reply(w, http.StatusOK, map[string]any{"token": signed, "expires_in_ms": demoTokenLife.Milliseconds(),
		"socket": s.stage.socket()})
}

// identify returns the demo user of an Authorization header.
func (s *demoServer) identify(header string) (*demoPerson, error) {
	token, ok := strings.CutPrefix(header, "Bearer ")
	if !ok {
		return nil, errors.New("no token")
	}
	var claims demoClaims
	_, err := jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) {
		return []byte(s.stage.cfg.Auth.JWT.Secret), nil
	}, jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	if err != nil {
		return nil, errors.New("token not accepted")
	}
	who, ok := s.byID[claims.UserID]
	if !ok || claims.Type != "access" {
		return nil, errors.New("no such user in this demo")
	}
	return who, nil
}
