package sqldb

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// target is what a URL names.
type target struct {
	dialect Dialect
	name    string        // for people, without a password
	path    string        // of SQLite's file
	mysql   *mysql.Config // of a server
}

var errURL = errors.New(`must be "sqlite:PATH" or "mysql://user:pass@host:3306/db"`)

// parseURL reads a database URL. Errors never repeat the URL: it may hold a
// password.
func parseURL(text string) (target, error) {
	if path, ok := strings.CutPrefix(text, "sqlite:"); ok {
		path = strings.TrimPrefix(path, "//")
		switch {
		case path == "":
			return target{}, errors.New("names no file: sqlite:PATH")
		case strings.ContainsAny(path, "?#\x00"):
			return target{}, errors.New("the path of an SQLite file may not contain ?, # or a zero byte")
		case path == ":memory:":
			return target{}, errors.New("an SQLite database in memory would lose what it accepts: name a file")
		}
		return target{dialect: Dialect{name: nameSQLite}, name: "sqlite:" + path, path: path}, nil
	}
	rest, ok := strings.CutPrefix(text, "mysql://")
	if !ok {
		return target{}, errURL
	}
	cfg, err := parseMySQL(rest)
	if err != nil {
		return target{}, err
	}
	name := "mysql://" + cfg.User + "@" + cfg.Addr + "/" + cfg.DBName
	if cfg.Net == "unix" {
		name = "mysql://" + cfg.User + "@unix(" + cfg.Addr + ")/" + cfg.DBName
	}
	return target{dialect: Dialect{name: nameMySQL}, name: name, mysql: cfg}, nil
}

// parseMySQL reads what follows mysql://: user:pass@host:3306/db, or
// user:pass@unix(/path)/db. User and password may be percent-encoded.
func parseMySQL(rest string) (*mysql.Config, error) {
	cfg := mysql.NewConfig()
	at := strings.LastIndexByte(rest, '@')
	if at >= 0 {
		user, pass, _ := strings.Cut(rest[:at], ":")
		var err1, err2 error
		cfg.User, err1 = url.PathUnescape(user)
		cfg.Passwd, err2 = url.PathUnescape(pass)
		if err1 != nil || err2 != nil {
			return nil, errors.New("user or password is not percent-encoded well")
		}
		rest = rest[at+1:]
	}
	if path, ok := strings.CutPrefix(rest, "unix("); ok {
		socket, db, found := strings.Cut(path, ")/")
		if !found {
			return nil, errors.New("a socket is named as mysql://user:pass@unix(/path)/db")
		}
		cfg.Net, cfg.Addr, cfg.DBName = "unix", socket, db
	} else {
		host, db, _ := strings.Cut(rest, "/")
		if host == "" {
			return nil, errURL
		}
		if strings.LastIndexByte(host, ':') <= strings.LastIndexByte(host, ']') {
			host += ":3306"
		}
		cfg.Net, cfg.Addr, cfg.DBName = "tcp", host, db
	}
	if q := strings.IndexByte(cfg.DBName, '?'); q >= 0 {
		params, err := url.ParseQuery(cfg.DBName[q+1:])
		if err != nil {
			return nil, errors.New("has a query that cannot be read")
		}
		cfg.DBName = cfg.DBName[:q]
		for name := range params {
			if name != "tls" {
				return nil, fmt.Errorf("has the parameter %q; only tls is known", name)
			}
		}
		cfg.TLSConfig = params.Get("tls")
		switch cfg.TLSConfig {
		case "", "true", "false", "skip-verify", "preferred":
		default:
			return nil, errors.New(`tls must be "true", "false", "skip-verify" or "preferred"`)
		}
	}
	if cfg.DBName == "" || strings.ContainsAny(cfg.DBName, "/#") {
		return nil, errors.New("names no database: mysql://user:pass@host:3306/db")
	}
	return cfg, nil
}
