package edge

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDevCertificate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a/b")
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	make := func(now time.Time) (Certificate, []byte, []byte) {
		t.Helper()
		c, err := DevCertificate(dir, now)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(read("ca.pem"))
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now.Add(renewBefore - time.Hour)}); err != nil {
				t.Errorf("%s at %v: %v", name, now, err)
			}
		}
		if life := pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore); life > 398*24*time.Hour {
			t.Errorf("valid for %v, longer than browsers take", life)
		}
		return c, read("ca.pem"), read("localhost.pem")
	}
	_, ca, leaf := make(now)
	for _, name := range []string{"ca.key", "localhost.key"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v (%v)", name, info.Mode(), err)
		}
	}
	if _, ca2, leaf2 := make(now.Add(100 * 24 * time.Hour)); !bytes.Equal(ca, ca2) || !bytes.Equal(leaf, leaf2) {
		t.Error("a good certificate was replaced")
	}
	_, ca3, leaf3 := make(now.Add(380 * 24 * time.Hour))
	if !bytes.Equal(ca, ca3) || bytes.Equal(leaf, leaf3) {
		t.Error("an old certificate was kept, or the root was replaced with it")
	}
	if _, ca4, _ := make(now.Add(9*365*24*time.Hour + 100*24*time.Hour)); bytes.Equal(ca, ca4) {
		t.Error("a root that ends before a new certificate was kept")
	}
	if err := os.WriteFile(filepath.Join(dir, "localhost.key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	make(now)
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	make(now)
}

// TestDevRootIsBound holds that trusting the root is no risk: what it signs for
// other names is not believed.
func TestDevRootIsBound(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	if _, err := DevCertificate(dir, now); err != nil {
		t.Fatal(err)
	}
	ca, key, err := devRoot(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"), now)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _, err := issue(&x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), DNSNames: []string{"bank.example"}}, ca, key,
		filepath.Join(dir, "evil.pem"), filepath.Join(dir, "evil.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: "bank.example", Roots: roots}); err == nil {
		t.Error("a certificate for another name is believed")
	}
}
