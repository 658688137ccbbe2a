package edge

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 397 * 24 * time.Hour // the longest that browsers take
	// renewBefore is how long before its end a certificate is replaced.
	renewBefore = 30 * 24 * time.Hour
)

// Certificate is where DevCertificate keeps its files.
type Certificate struct {
	// CertFile and KeyFile are the server's certificate and key.
	CertFile, KeyFile string
	// CAFile is the root that signed it. A program that is told to trust it
	// (curl --cacert, a browser's settings) takes the certificate.
	CAFile string
}

// DevCertificate returns a certificate for localhost, 127.0.0.1 and ::1,
// signed by a root of its own. Both are kept in dir, which is made if it is
// missing, and made anew when they are about to expire or cannot be used. The
// root can sign for no other names, so that trusting it is no risk beyond this
// machine.
func DevCertificate(dir string, now time.Time) (Certificate, error) {
	c := Certificate{
		CertFile: filepath.Join(dir, "localhost.pem"),
		KeyFile:  filepath.Join(dir, "localhost.key"),
		CAFile:   filepath.Join(dir, "ca.pem"),
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Certificate{}, fmt.Errorf("make certificate directory: %w", err)
	}
	ca, caKey, err := devRoot(c.CAFile, filepath.Join(dir, "ca.key"), now)
	if err != nil {
		return Certificate{}, err
	}
	if leafServes(c, ca, now) {
		return c, nil
	}
	leaf := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "localhost"},
		NotBefore:   now.Add(-time.Hour),
		NotAfter:    now.Add(leafLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if _, _, err := issue(leaf, ca, caKey, c.CertFile, c.KeyFile); err != nil {
		return Certificate{}, err
	}
	return c, nil
}

// devRoot returns the kept root, or a new one.
func devRoot(certFile, keyFile string, now time.Time) (*x509.Certificate, crypto.Signer, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err == nil {
		key, ok := pair.PrivateKey.(crypto.Signer)
		if ok && pair.Leaf.IsCA && now.Add(leafLife).Before(pair.Leaf.NotAfter) && now.After(pair.Leaf.NotBefore) {
			return pair.Leaf, key, nil
		}
	} else if errors.Is(err, os.ErrPermission) {
		return nil, nil, fmt.Errorf("read development certificate: %w", err)
	}
	ca := &x509.Certificate{
		Subject:                     pkix.Name{CommonName: "furima development root", Organization: []string{"furima on this machine"}},
		NotBefore:                   now.Add(-time.Hour),
		NotAfter:                    now.Add(caLife),
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid:       true,
		IsCA:                        true,
		MaxPathLenZero:              true,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{"localhost"},
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}
	return issue(ca, nil, nil, certFile, keyFile)
}

// leafServes reports whether the kept certificate is still good.
func leafServes(c Certificate, ca *x509.Certificate, now time.Time) bool {
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return false
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if pair.Leaf.VerifyHostname(name) != nil {
			return false
		}
	}
	for _, at := range []time.Time{now, now.Add(renewBefore)} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at}); err != nil {
			return false
		}
	}
	return true
}

// issue makes a key and a certificate for it, signed by parent (itself, if
// that is nil), and writes both.
func issue(tmpl, parent *x509.Certificate, parentKey crypto.Signer, certFile, keyFile string) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make development key: %w", err)
	}
	if tmpl.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, nil, fmt.Errorf("make development certificate: %w", err)
	}
	if parent == nil {
		parent, parentKey = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), parentKey)
	if err != nil {
		return nil, nil, fmt.Errorf("make development certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("make development certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("make development key: %w", err)
	}
	if err := replace(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		return nil, nil, fmt.Errorf("write development key: %w", err)
	}
	if err := replace(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return nil, nil, fmt.Errorf("write development certificate: %w", err)
	}
	return cert, key, nil
}
