package config

import (
	"bytes"
	"fmt"
	"io"
	"reflect"

	"github.com/BurntSushi/toml"
)

const redacted = "redacted"

// Print writes cfg as TOML with secrets replaced by "redacted".
func Print(w io.Writer, cfg Config) error {
	var text bytes.Buffer
	enc := toml.NewEncoder(&text)
	if err := enc.Encode(cfg); err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	// A second Config made from the text shares no memory with the caller's,
	// so that hiding secrets in it cannot touch the original.
	var shown Config
	if _, err := toml.Decode(text.String(), &shown); err != nil {
		return fmt.Errorf("copy configuration: %w", err)
	}
	redact(&shown)
	enc = toml.NewEncoder(w)
	enc.Indent = ""
	if err := enc.Encode(shown); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

func redact(cfg *Config) {
	leaves(reflect.ValueOf(cfg).Elem(), "", func(l leaf) {
		switch {
		case l.secret == "" || l.value.IsZero():
		case l.value.Kind() == reflect.Slice:
			list := reflect.MakeSlice(l.value.Type(), l.value.Len(), l.value.Len())
			for i := range list.Len() {
				list.Index(i).SetString(redacted)
			}
			l.value.Set(list)
		case l.value.Kind() == reflect.String && l.secret == "url":
			l.value.SetString(redactURL(l.value.String()))
		case l.value.Kind() == reflect.String:
			l.value.SetString(redacted)
		}
	})
}
