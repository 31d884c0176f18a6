// Package start is what every function does before anything else: it keeps
// credentials out of core files and foreign packages' bytes out of the log, and
// says in one line why a function cannot start. It knows no function.
package start

import (
	"io"
	"log"
	"log/slog"
	"os"
	"syscall"
)

// Main runs a function with the log of the process. It does not return after an
// error.
func Main(run func(log *slog.Logger) error) {
	logger := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	log.SetOutput(io.Discard) // net/http prints bytes of idle connections there
	// A crash must not leave tokens or credentials in a core file.
	err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	if err == nil {
		err = run(logger)
	}
	if err != nil {
		logger.Error("cannot start", "cause", err.Error())
		os.Exit(1)
	}
}
