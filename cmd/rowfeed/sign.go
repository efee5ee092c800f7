package main

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
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"nalar.internal/rowfeed/config"
)

// sign signs claims by an algorithm that the configuration accepts.
func sign(p config.Party, o tokenOptions, claims jwt.MapClaims) (string, error) {
	j := p.JWT
	var key any
	var fits []string // what the key can sign
	if o.keyFile != "" {
		private, err := privateKey(o.keyFile)
		if err != nil {
			return "", err
		}
		if err := belongs(private, p); err != nil {
			return "", fmt.Errorf("key %s: %w", o.keyFile, err)
		}
		key, fits = private, config.Algorithms(private.Public())
	} else {
		if j.Secret == "" && j.SecretFile == "" {
			return "", errors.New("tokens are checked with a public key: give the private key to it with --key")
		}
		secret, err := j.SecretBytes()
		if err != nil {
			return "", fmt.Errorf("%s.secret_file %w", p.Key, err)
		}
		key, fits = secret, []string{"HS256", "HS384", "HS512"}
	}
	accepted := slices.DeleteFunc(slices.Clone(j.Algorithms), func(alg string) bool { return !slices.Contains(fits, alg) })
	list := strings.Join(j.Algorithms, ", ")
	switch {
	case len(accepted) == 0 && o.keyFile != "":
		return "", fmt.Errorf("key %s signs %s, and %s.algorithms are %s: give a key that fits, or none for HS",
			o.keyFile, strings.Join(fits, ", "), p.Key, list)
	case o.alg == "":
		o.alg = accepted[0]
	case !slices.Contains(accepted, o.alg):
		return "", fmt.Errorf("algorithm %q would be refused: give one of %s", o.alg, strings.Join(accepted, ", "))
	}
	token := jwt.NewWithClaims(jwt.GetSigningMethod(o.alg), claims)
	if o.kid != "" {
		token.Header["kid"] = o.kid
	}
	signed, err := token.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// privateKey reads a private key in PEM: PKCS #8, PKCS #1 or SEC 1.
func privateKey(file string) (crypto.Signer, error) {
	data, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("read private key: %w: name its file with --key", err)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		var key any
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, fmt.Errorf("read private key %s: it is encrypted: decrypt it with `openssl pkey` first", file)
		default:
			continue // parameters, a certificate beside the key
		}
		if err != nil {
			return nil, fmt.Errorf("parse private key %s: %w", file, err)
		}
		switch signer := key.(type) {
		case *rsa.PrivateKey:
			return signer, nil
		case *ecdsa.PrivateKey:
			return signer, nil
		case ed25519.PrivateKey:
			return signer, nil
		}
		return nil, fmt.Errorf("private key %s signs no tokens: give an RSA, ECDSA or Ed25519 key with --key", file)
	}
	return nil, fmt.Errorf("read private key %s: there is none in it: give a PEM file with --key", file)
}

// belongs checks that the bridge would accept what the key signs.
func belongs(private crypto.Signer, p config.Party) error {
	if p.JWT.PublicKeyFile == "" {
		return nil
	}
	key := p.Key + ".public_key_file"
	public, err := p.JWT.PublicKey()
	if err != nil {
		return fmt.Errorf("%s %w", key, err)
	}
	if equal, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !equal.Equal(public) {
		return fmt.Errorf("does not belong to %s: the bridge would refuse the token", key)
	}
	return nil
}
