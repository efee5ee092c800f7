package bridge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// pair writes a new certificate and its key.
func pair(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// New files are taken, in whatever order they come; files that don't fit keep the old certificate and are told once.
func TestCertificateReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	core, told := observer.New(zap.ErrorLevel)
	c := &certificates{cert: filepath.Join(dir, "cert"), key: filepath.Join(dir, "key"), log: zap.New(core)}
	at := time.Now().Add(-time.Hour)
	write := func(path string, b []byte) {
		at = at.Add(time.Second)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, serial int64, logged int) {
		t.Helper()
		for range 2 {
			c.checked = time.Time{}
			got, err := c.get(&tls.ClientHelloInfo{})
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if n := got.Leaf.SerialNumber.Int64(); n != serial || told.Len() != logged {
				t.Errorf("%s: serial %d, want %d; %d lines, want %d", what, n, serial, told.Len(), logged)
			}
		}
	}
	if _, err := c.get(nil); err == nil {
		t.Error("no files, no error")
	}
	cert, key := pair(t, 1)
	write(c.cert, cert)
	write(c.key, key)
	want("first", 1, 0)
	cert, key = pair(t, 2)
	write(c.cert, cert)
	want("certificate before its key", 1, 1)
	write(c.key, key)
	want("second", 2, 1)
	cert, key = pair(t, 3)
	write(c.key, key)
	want("key before its certificate", 2, 2)
	write(c.cert, cert)
	want("third", 3, 2)
	if err := os.Remove(c.cert); err != nil {
		t.Fatal(err)
	}
	want("removed", 3, 3)
}
