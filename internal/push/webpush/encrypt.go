package webpush

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Sizes of an encrypted message: RFC 8188, section 2, with the sender's public
// key as its key id (RFC 8291, section 4), in a single record.
const (
	recordSize  = 4096 // the most that a push service must take
	saltBytes   = 16
	headerBytes = saltBytes + 4 + 1 + keyBytes
	tagBytes    = 16

	// maxPlainBytes is what is left for the message: all but the header, the
	// byte that ends the last record, and the tag.
	maxPlainBytes = recordSize - headerBytes - 1 - tagBytes
)

// encrypt encrypts a message for one subscription. Every message has a key and
// a salt of its own, as RFC 8291 asks.
func encrypt(plain []byte, to *subscription) ([]byte, error) {
	ours, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	var salt [saltBytes]byte
	_, _ = rand.Read(salt[:]) // never fails: the program ends if the system has no randomness
	return seal(plain, to, ours, salt)
}

// seal is encrypt with the given key and salt.
func seal(plain []byte, to *subscription, ours *ecdh.PrivateKey, salt [saltBytes]byte) ([]byte, error) {
	if len(plain) > maxPlainBytes {
		return nil, fmt.Errorf("encrypt %d bytes: a message has at most %d", len(plain), maxPlainBytes)
	}
	secret, err := ours.ECDH(to.key)
	if err != nil {
		return nil, fmt.Errorf("agree on a key: %w", err)
	}
	theirs, public := to.key.Bytes(), ours.PublicKey().Bytes()
	// RFC 8291, section 3.4: the secret of both and the subscription's own make
	// the key that RFC 8188 begins with.
	ikm, err := hkdf.Key(sha256.New, secret, to.auth[:], "WebPush: info\x00"+string(theirs)+string(public), 32)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	aead, nonce, err := derive(ikm, salt[:])
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, headerBytes+len(plain)+1+tagBytes)
	out = append(out, salt[:]...)
	out = binary.BigEndian.AppendUint32(out, recordSize)
	out = append(out, keyBytes)
	out = append(out, public...)
	out = append(out, plain...)
	out = append(out, 2) // ends the last record
	return aead.Seal(out[:headerBytes], nonce, out[headerBytes:], nil), nil
}

// derive makes the cipher and the nonce of the first record: RFC 8188, section 2.2.
func derive(ikm, salt []byte) (cipher.AEAD, []byte, error) {
	prk, err := hkdf.Extract(sha256.New, ikm, salt)
	if err != nil {
		return nil, nil, fmt.Errorf("derive a key: %w", err)
	}
	key, err := hkdf.Expand(sha256.New, prk, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, nil, fmt.Errorf("derive a key: %w", err)
	}
	nonce, err := hkdf.Expand(sha256.New, prk, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, nil, fmt.Errorf("derive a nonce: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, fmt.Errorf("make a cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, fmt.Errorf("make a cipher: %w", err)
	}
	return aead, nonce, nil
}
