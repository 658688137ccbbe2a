//go:build !unix

package pay

import "os"

// Where there is no flock, a sandbox file belongs to one process.

func lockFile(*os.File) error   { return nil }
func unlockFile(*os.File) error { return nil }
