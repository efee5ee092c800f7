package config

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

// secretLength is how many bytes a secret must have at least: RFC 7518, section 3.2.
var secretLength = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

// SecretBytes returns the secret of the HS algorithms, from Secret or from SecretFile without the newline at its end.
func (j JWT) SecretBytes() ([]byte, error) {
	if j.SecretFile == "" {
		return []byte(j.Secret), nil
	}
	data, err := os.ReadFile(j.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", err)
	}
	return []byte(strings.TrimRight(string(data), "\r\n")), nil
}

// PublicKey reads PublicKeyFile: the first public key or certificate in PEM.
func (j JWT) PublicKey() (crypto.PublicKey, error) {
	data, err := os.ReadFile(j.PublicKeyFile)
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("is not PEM")
	}
	var key any
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = certificate.PublicKey
		}
	default:
		return nil, fmt.Errorf("holds a %s, not a public key", clean(strings.ToLower(block.Type)))
	}
	if err != nil {
		return nil, fmt.Errorf("can't be parsed: %w", err)
	}
	if k, ok := key.(*rsa.PublicKey); ok && k.N.BitLen() < 2048 {
		return nil, fmt.Errorf("has an RSA key of %d bits, and 2048 are the least (RFC 7518, section 3.3)", k.N.BitLen())
	}
	if Algorithms(key) == nil {
		return nil, errors.New("holds a key of a kind that signs no tokens")
	}
	return key, nil
}

// Algorithms returns the algorithms that a public key can check; nil where there is none.
func Algorithms(key crypto.PublicKey) []string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		if alg := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[k.Params().Name]; alg != "" {
			return []string{alg}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	}
	return nil
}
