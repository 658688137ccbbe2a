package config

import (
	"encoding"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// leaf is one settable key of a Config.
type leaf struct {
	key    string // "push.apps[].name" inside arrays of tables, else "store.url"
	value  reflect.Value
	secret string        // the secret tag: "", "true" or "url"
	owner  reflect.Value // the struct that holds it
}

// leaves calls f for every key outside and inside arrays of tables. Elements
// of arrays are visited as they are, with their index in the key.
func leaves(v reflect.Value, prefix string, f func(leaf)) {
	t := v.Type()
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
		if !field.IsExported() || name == "" || name == "-" {
			continue
		}
		key, fv := prefix+name, v.Field(i)
		if fv.Kind() == reflect.Pointer && fv.Type().Elem().Kind() == reflect.Struct {
			if fv.IsNil() {
				continue
			}
			fv = fv.Elem()
		}
		switch {
		case isTable(fv.Type()):
			leaves(fv, key+".", f)
		case fv.Kind() == reflect.Slice && isTable(fv.Type().Elem()):
			for j := range fv.Len() {
				leaves(fv.Index(j), fmt.Sprintf("%s[%d].", key, j), f)
			}
		default:
			f(leaf{key: key, value: fv, secret: field.Tag.Get("secret"), owner: v})
		}
	}
}

func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Struct &&
		!reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// keys returns every key that furima.toml knows, with [] for arrays of tables.
func keys(cfg *Config) []string {
	var all []string
	var walk func(t reflect.Type, prefix string)
	walk = func(t reflect.Type, prefix string) {
		for i := range t.NumField() {
			field := t.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("toml"), ",")
			if !field.IsExported() || name == "" || name == "-" {
				continue
			}
			ft := field.Type
			for ft.Kind() == reflect.Pointer || (ft.Kind() == reflect.Slice && isTable(deref(ft.Elem()))) {
				ft = ft.Elem()
			}
			all = append(all, prefix+name)
			if isTable(ft) {
				walk(ft, prefix+name+".")
			}
		}
	}
	walk(reflect.TypeOf(*cfg), "")
	return all
}

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// Variable returns the name of the environment variable of a key, or "" for a
// key inside an array of tables.
func Variable(key string) string {
	if strings.Contains(key, "[") {
		return ""
	}
	return "FURIMA_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// overlay sets the keys that FURIMA_* variables name. A variable that names no
// key is a fault: a misspelt one would otherwise be ignored in silence.
func overlay(cfg *Config, environ []string, faults *Faults) {
	byVariable := map[string]leaf{}
	leaves(reflect.ValueOf(cfg).Elem(), "", func(l leaf) {
		if name := Variable(l.key); name != "" {
			byVariable[name] = l
		}
	})
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "FURIMA_") {
			continue
		}
		l, ok := byVariable[name]
		if !ok {
			names := make([]string, 0, len(byVariable))
			for n := range byVariable {
				names = append(names, n)
			}
			problem := "no such setting"
			if near := nearest(name, names); near != "" {
				problem += ", did you mean " + near + "?"
			}
			faults.add(name, problem)
			continue
		}
		if err := set(l.value, text); err != nil {
			if l.secret != "" {
				err = fmt.Errorf("not usable as a value of %s", l.key)
			}
			faults.add(name, err.Error())
		}
	}
}

// set parses text into a scalar or a list of strings (comma-separated).
func set(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 30s", text)
		}
		v.SetInt(int64(d))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is not true or false", text)
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(n)
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.String {
			return fmt.Errorf("cannot be set by a variable")
		}
		list := reflect.MakeSlice(v.Type(), 0, 4)
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = reflect.Append(list, reflect.ValueOf(part).Convert(v.Type().Elem()))
			}
		}
		v.Set(list)
	default:
		return fmt.Errorf("cannot be set by a variable")
	}
	return nil
}

// readSecretFiles fills x from the file that x_file names, for every pair.
func readSecretFiles(cfg *Config, faults *Faults) {
	type pair struct{ owner, key string }
	at := func(l leaf, key string) pair {
		return pair{fmt.Sprint(l.owner.Addr().UnsafePointer()), key}
	}
	secrets := map[pair]leaf{}
	root := reflect.ValueOf(cfg).Elem()
	leaves(root, "", func(l leaf) {
		if l.secret != "" && l.value.Kind() == reflect.String {
			secrets[at(l, l.key)] = l
		}
	})
	leaves(root, "", func(l leaf) {
		base, isFile := strings.CutSuffix(l.key, "_file")
		if !isFile || l.value.Kind() != reflect.String || l.value.String() == "" {
			return
		}
		secret, ok := secrets[at(l, base)]
		if !ok {
			return
		}
		if secret.value.String() != "" {
			faults.add(l.key, "set together with "+base+", name only one")
			return
		}
		b, err := os.ReadFile(l.value.String())
		if err != nil {
			faults.add(l.key, fmt.Sprintf("read %s: %s", l.value.String(), reason(err)))
			return
		}
		if len(b) > MaxFileBytes {
			faults.add(l.key, l.value.String()+" is too large for a secret")
			return
		}
		text := strings.TrimSpace(string(b))
		if text == "" {
			faults.add(l.key, l.value.String()+" is empty")
			return
		}
		secret.value.SetString(text)
	})
}

// redactURL hides the password of a URL. A text that is no URL is hidden
// whole, since nobody knows where its password is.
func redactURL(text string) string {
	if strings.HasPrefix(text, "sqlite:") || text == "" {
		return text
	}
	u, err := url.Parse(text)
	if err != nil {
		return redacted
	}
	if _, has := u.User.Password(); has {
		// Not u.Redacted: its "xxxxx" looks like a password.
		u.User = url.UserPassword(u.User.Username(), redacted)
	}
	return u.String()
}
