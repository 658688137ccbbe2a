package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

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
		return target{dialect: Dialect{nameSQLite}, name: "sqlite:" + path, path: path}, nil
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
	return target{dialect: Dialect{nameMySQL}, name: name, mysql: cfg}, nil
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

// SQLite's settings, applied to every connection. WAL: readers and the writer
// do not wait for each other. synchronous=FULL: a commit is on disk when it
// returns (https://www.sqlite.org/pragma.html#pragma_synchronous).
var pragmas = []string{
	"busy_timeout(5000)", // first, so that the others wait as well
	"journal_mode(WAL)",
	"synchronous(FULL)",
	"foreign_keys(ON)",
	"temp_store(MEMORY)",
	"cache_size(-16000)", // KiB a connection
	"mmap_size(268435456)",
	"journal_size_limit(67108864)",
}

func (db *DB) openSQLite(ctx context.Context, t target, maxOpen int) error {
	if err := os.MkdirAll(filepath.Dir(t.path), 0o750); err != nil {
		return err
	}
	if info, err := os.Stat(t.path); err == nil && info.IsDir() {
		return errors.New("is a folder, not a database file")
	}
	q := url.Values{"_pragma": pragmas}
	dsn := "file:" + (&url.URL{Path: t.path}).EscapedPath() + "?" + q.Encode()
	var err error
	// Immediate: a write transaction takes the lock when it begins, so that it
	// can never find out in the middle that it read something old.
	if db.write, err = sql.Open("sqlite", dsn+"&_txlock=immediate"); err != nil {
		return err
	}
	db.write.SetMaxOpenConns(1)
	if err := db.write.PingContext(ctx); err != nil {
		return err
	}
	if db.read, err = sql.Open("sqlite", dsn+"&_pragma=query_only(ON)"); err != nil {
		return err
	}
	if maxOpen == 0 {
		maxOpen = runtime.GOMAXPROCS(0) + 4
	}
	db.read.SetMaxOpenConns(maxOpen)
	db.read.SetMaxIdleConns(maxOpen)
	return db.read.PingContext(ctx)
}

func (db *DB) openMySQL(ctx context.Context, t target, maxOpen int) error {
	cfg := t.mysql.Clone()
	cfg.Timeout = 5 * time.Second
	cfg.ReadTimeout = 60 * time.Second
	cfg.WriteTimeout = 60 * time.Second
	cfg.Collation = "utf8mb4_bin"
	cfg.MaxAllowedPacket = 64 << 20
	cfg.ParseTime = true // for the version tables of goose; ours keep microseconds
	cfg.Logger = &mysql.NopLogger{}
	cfg.Params = map[string]string{
		"sql_mode":  "'TRADITIONAL'",
		"time_zone": "'+00:00'",
		// Nobody waits longer than this for a row; the transaction is run again.
		"innodb_lock_wait_timeout": "5",
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	if maxOpen == 0 {
		maxOpen = 32
	}
	db.write = sql.OpenDB(readCommitted{connector})
	// As many idle as open: closing and opening a connection costs more than
	// keeping it. It is renewed now and then, so that a failed-over server or a
	// changed address is noticed.
	db.write.SetMaxOpenConns(maxOpen)
	db.write.SetMaxIdleConns(maxOpen)
	db.write.SetConnMaxLifetime(30 * time.Minute)
	db.write.SetConnMaxIdleTime(5 * time.Minute)
	db.read = db.write
	return db.write.PingContext(ctx)
}

// readCommitted sets the isolation of every new connection: what one
// transaction has committed, the next statement sees. The variable of that name
// is called differently by MySQL 8 and MariaDB 10; the statement is not.
type readCommitted struct{ driver.Connector }

func (c readCommitted) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.Join(errors.New("driver cannot execute without a statement"), conn.Close())
	}
	if _, err := execer.ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
