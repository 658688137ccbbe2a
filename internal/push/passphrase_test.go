package push

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"testing"

	"github.com/youmark/pkcs8"
)

func TestDecryptKey(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("cert")})
	plain := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	//lint:ignore SA1019 such keys are what decryptKey is for
	old, err := x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", der, []byte("hush"), x509.PEMCipher3DES)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := pkcs8.MarshalPrivateKey(key, []byte("hush"), nil)
	if err != nil {
		t.Fatal(err)
	}
	sealedPEM := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: sealed})
	for _, c := range []struct {
		name, passphrase string
		text             []byte
		good             bool
	}{
		{"plain", "", plain, true},
		{"plain, a passphrase too many", "hush", plain, true},
		{"no key at all", "hush", []byte("x"), true}, // for the parser to complain
		{"old", "hush", pem.EncodeToMemory(old), true},
		{"old, behind its certificate", "hush", append(bytes.Clone(certificate), pem.EncodeToMemory(old)...), true},
		{"PKCS #8", "hush", sealedPEM, true},
		{"old, wrong", "loud", pem.EncodeToMemory(old), false},
		{"old, none", "", pem.EncodeToMemory(old), false},
		{"PKCS #8, wrong", "loud", sealedPEM, false},
		{"PKCS #8, none", "", sealedPEM, false},
		{"PKCS #8, damaged", "hush", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: sealed[:len(sealed)/2]}), false},
	} {
		got, err := decryptKey(c.text, c.passphrase)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil || c.name == "no key at all" {
			continue
		}
		block := keyBlock(got)
		var parsed any
		if block.Type == "PRIVATE KEY" {
			parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		} else {
			parsed, err = x509.ParseECPrivateKey(block.Bytes)
		}
		if k, ok := parsed.(*ecdsa.PrivateKey); err != nil || !ok || !k.Equal(key) {
			t.Errorf("%s: another key, %v", c.name, err)
		}
	}
}

// However a file was cut off, it does not panic.
func TestDecryptKeyCutOff(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := pkcs8.MarshalPrivateKey(key, []byte("hush"), &pkcs8.Opts{
		Cipher: pkcs8.AES128CBC, KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 8, IterationCount: 1, HMACHash: crypto.SHA256},
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range sealed {
		if _, err := decryptKey(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: sealed[:n]}), "hush"); err == nil {
			t.Errorf("%d bytes of %d make a key", n, len(sealed))
		}
	}
	// A ciphertext of no whole blocks, which the library does not survive alone.
	if _, err := decryptKey(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: shorten(t, sealed)}), "hush"); err == nil {
		t.Error("half a block makes a key")
	}
}

// shorten takes one byte off the ciphertext.
func shorten(t *testing.T, sealed []byte) []byte {
	t.Helper()
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	if _, err := asn1.Unmarshal(sealed, &info); err != nil {
		t.Fatal(err)
	}
	info.Data = info.Data[:len(info.Data)-1]
	out, err := asn1.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
