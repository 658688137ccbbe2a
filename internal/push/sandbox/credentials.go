package sandbox

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// KeyID and TeamID are what the stand-in for Apple knows its signing key by.
const (
	KeyID  = "SANDBOXKEY"
	TeamID = "FURIMATEAM"
)

// credentials are the files of a stand-in, kept in one directory so that a
// restart changes nothing for who uses them.
type credentials struct {
	keyFile, caFile string
	signing         *ecdsa.PrivateKey
	server          tls.Certificate
}

// loadCredentials reads the signing key and the root from dir and makes what
// is missing. The server's certificate is made anew each time.
func loadCredentials(dir string, now time.Time, hosts []string) (credentials, error) {
	c := credentials{
		keyFile: filepath.Join(dir, "AuthKey_"+KeyID+".p8"),
		caFile:  filepath.Join(dir, "root.pem"),
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return c, fmt.Errorf("make the sandbox directory: %w", err)
	}
	signing, err := loadKey(c.keyFile)
	if err != nil {
		return c, err
	}
	rootKey, err := loadKey(filepath.Join(dir, "root.key"))
	if err != nil {
		return c, err
	}
	root, err := loadRoot(c.caFile, rootKey, now)
	if err != nil {
		return c, err
	}
	c.signing = signing
	c.server, err = issue(root, rootKey, now, hosts)
	return c, err
}

// loadKey reads a P-256 key, or makes it.
func loadKey(path string) (*ecdsa.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return makeKey(path)
	case err != nil:
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no ECDSA key", path)
	}
	return key, nil
}

func makeKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return key, writePEM(path, "PRIVATE KEY", der)
}

// writePEM replaces the file in one step, so that a crash leaves no half file.
func writePEM(path, kind string, der []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// loadRoot reads the root certificate, or makes it when it is missing, of
// another key, or about to end.
func loadRoot(path string, key *ecdsa.PrivateKey, now time.Time) (*x509.Certificate, error) {
	if raw, err := os.ReadFile(path); err == nil {
		if block, _ := pem.Decode(raw); block != nil {
			root, err := x509.ParseCertificate(block.Bytes)
			if err == nil && key.PublicKey.Equal(root.PublicKey) && now.AddDate(0, 0, 30).Before(root.NotAfter) {
				return root, nil
			}
		}
	}
	root := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "furima sandbox root"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(10, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make the root certificate: %w", err)
	}
	if err := writePEM(path, "CERTIFICATE", der); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// issue makes the server's certificate and its key.
func issue(root *x509.Certificate, rootKey *ecdsa.PrivateKey, now time.Time, hosts []string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make a key: %w", err)
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "furima sandbox"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range append([]string{"localhost", "127.0.0.1", "::1"}, hosts...) {
		if ip := net.ParseIP(h); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else if h != "" {
			leaf.DNSNames = append(leaf.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, rootKey)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the server certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

func serial() *big.Int {
	// Positive and of 127 bits, as serial numbers are to be.
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: the program ends if the system has no randomness
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}
