//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// idle measures what sessions cost that are authenticated, subscribed and wait.
func idle(s *stage, z sizes) ([]figure, []string, error) {
	plain, err := s.rest(z, "plaintext", "")
	if err != nil {
		return nil, nil, err
	}
	if err := s.clear(); err != nil {
		return nil, nil, err
	}
	certificate, key, err := s.certificate()
	if err != nil {
		return nil, nil, err
	}
	secured, err := s.rest(z, "TLS", certificate, "ROWFEED_SERVER_TLS_CERT_FILE="+certificate,
		"ROWFEED_SERVER_TLS_KEY_FILE="+key)
	if err != nil {
		return nil, nil, err
	}
	plain[0].most = 5 // kilobytes: what a session may cost
	return append(plain, secured...), []string{
		"A session hears a heartbeat frame and a ping every 25 s, and answers the ping.",
		"`Between heartbeats` is the bridge's CPU in those tenths of a second in which no client heard one.",
	}, nil
}

// rest measures a bridge with z.idle sessions against the same process without any.
func (s *stage) rest(z sizes, how, authority string, environ ...string) ([]figure, error) {
	d, err := s.bridge(z.rows, environ...)
	if err != nil {
		return nil, err
	}
	if _, err := d.ask(s.ctx, "gc"); err != nil {
		return nil, err
	}
	empty, err := d.number(s.ctx, "rss")
	if err != nil {
		return nil, err
	}
	alone, err := d.load(z.quiet / 4)
	if err != nil {
		return nil, err
	}
	if err := d.subscribe("stock", z.idle, authority); err != nil {
		return nil, err
	}
	if _, err := d.ask(s.ctx, "gc"); err != nil {
		return nil, err
	}
	collected, err := d.number(s.ctx, "rss")
	if err != nil {
		return nil, err
	}
	if err := d.heap("idle-" + how); err != nil {
		return nil, err
	}
	if err := d.profile("idle-" + how); err != nil {
		return nil, err
	}
	cpu, between, beats, err := d.watch(z.quiet)
	if err != nil {
		return nil, err
	}
	if err := d.profile(""); err != nil {
		return nil, err
	}
	steady, err := d.number(s.ctx, "rss")
	if err != nil {
		return nil, err
	}
	row := func(name, unit string, value float64) figure {
		return figure{name: fmt.Sprintf("%d idle sessions, %s: %s", z.idle, how, name), unit: unit, ours: []float64{value}}
	}
	each := func(kilobytes int) float64 { return float64(kilobytes-empty) / float64(z.idle) }
	return []figure{
		row("memory each after a garbage collection", "KB", each(collected)),
		row(fmt.Sprintf("memory each %.0f s later, uncollected", z.quiet.Seconds()), "KB", each(steady)),
		row("CPU", "ms/s", cpu/1000),
		row("CPU between heartbeats", "ms/s", between/1000),
		row("CPU of the same bridge without sessions", "ms/s", alone/1000),
		row("CPU per session's heartbeat", "µs", (cpu-alone)*z.quiet.Seconds()/max(1, float64(beats)/2)),
	}, nil
}

// load returns the CPU time that the process uses by itself, in microseconds a second.
func (d *side) load(over time.Duration) (float64, error) {
	cpu, _, _, err := d.watch(over)
	return cpu, err
}

// watch measures for a while, in microseconds a second, the CPU time of the whole and of those tenths of a second in
// which no heartbeat reached a client, and counts the heartbeats.
func (d *side) watch(over time.Duration) (whole, between float64, beats int, err error) {
	read := func() (cpu, beats int, err error) {
		if cpu, err = d.number(d.stage.ctx, "cpu"); err == nil && d.clients != nil {
			beats, err = d.clients.number(d.stage.ctx, "beats")
		}
		return cpu, beats, err
	}
	firstCPU, firstBeats, err := read()
	if err != nil {
		return 0, 0, 0, err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	start := time.Now()
	cpu, count, at := firstCPU, firstBeats, start
	var quietCPU int
	var quiet time.Duration
	for time.Since(start) < over {
		select {
		case <-d.stage.ctx.Done():
			return 0, 0, 0, d.stage.ctx.Err()
		case <-tick.C:
		}
		c, b, err := read()
		if err != nil {
			return 0, 0, 0, err
		}
		now := time.Now()
		if b == count {
			quietCPU += c - cpu
			quiet += now.Sub(at)
		}
		cpu, count, at = c, b, now
	}
	whole = float64(cpu-firstCPU) / at.Sub(start).Seconds()
	if quiet > 0 {
		between = float64(quietCPU) / quiet.Seconds()
	}
	return whole, between, count - firstBeats, nil
}

// certificate makes one for loopback that signs itself.
func (s *stage) certificate() (certificate, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("make key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "rowfeed bench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", fmt.Errorf("make certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", fmt.Errorf("make key: %w", err)
	}
	certificate, key = filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")
	if err := writePEM(certificate, "CERTIFICATE", der); err != nil {
		return "", "", err
	}
	return certificate, key, writePEM(key, "PRIVATE KEY", secret)
}

func writePEM(path, kind string, der []byte) error {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	return nil
}
