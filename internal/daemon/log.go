package daemon

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"
)

// NewLogger returns a logger that writes to w as cfg says. A config that
// Validate rejects is read as the default. Whoever reads the environment sets
// Color to ColorNever when NO_COLOR asks for it and the operator has not set a
// colour.
func NewLogger(w io.Writer, cfg LogConfig) *slog.Logger {
	terminal := isTerminal(w)
	opts := slog.HandlerOptions{Level: parseLevel(cfg.Level)}
	switch {
	case cfg.Format == FormatText, cfg.Format != FormatJSON && terminal:
		color := cfg.Color == ColorAlways || cfg.Color != ColorNever && terminal
		return slog.New(newTextHandler(w, opts.Level, color, terminal))
	}
	return slog.New(slog.NewJSONHandler(w, &opts))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

var levels = map[string]slog.Level{
	"":      slog.LevelInfo,
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"warn":  slog.LevelWarn,
	"error": slog.LevelError,
}

func parseLevel(s string) slog.Level { return levels[s] } // unknown: info, which is 0
