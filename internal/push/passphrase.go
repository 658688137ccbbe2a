package push

import (
	"crypto/x509"
	"encoding/pem"
	"errors"

	"github.com/youmark/pkcs8"
)

var errPassphrase = errors.New("the passphrase does not open it, or it is damaged")

// decryptKey returns the PEM text of a private key without its encryption: that
// of PKCS #8, or the older one of OpenSSL that the header DEK-Info tells. A key
// that is not encrypted stays as it is.
func decryptKey(text []byte, passphrase string) ([]byte, error) {
	block := keyBlock(text)
	if block == nil {
		return text, nil // whoever parses it says what is wrong
	}
	//lint:ignore SA1019 it is weak, and what certificates' keys have been kept in for decades
	old := x509.IsEncryptedPEMBlock(block) //nolint:staticcheck // see above
	switch {
	case !old && block.Type != "ENCRYPTED PRIVATE KEY":
		return text, nil
	case passphrase == "":
		return nil, errors.New("it is encrypted and there is no passphrase")
	case old:
		//lint:ignore SA1019 as above
		der, err := x509.DecryptPEMBlock(block, []byte(passphrase)) //nolint:staticcheck // see above
		if err != nil {
			return nil, errPassphrase
		}
		return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), nil
	}
	der, err := decryptPKCS8(block.Bytes, passphrase)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// keyBlock returns the first block that is a private key, or nil: a file may
// hold the certificate as well.
func keyBlock(text []byte) *pem.Block {
	for {
		var block *pem.Block
		switch block, text = pem.Decode(text); {
		case block == nil:
			return nil
		case block.Type != "CERTIFICATE":
			return block
		}
	}
}

func decryptPKCS8(der []byte, passphrase string) (plain []byte, err error) {
	defer func() {
		// The library panics on some damaged files.
		if recover() != nil {
			plain, err = nil, errPassphrase
		}
	}()
	key, _, err := pkcs8.ParsePrivateKey(der, []byte(passphrase))
	if err != nil {
		return nil, errPassphrase
	}
	return x509.MarshalPKCS8PrivateKey(key)
}
