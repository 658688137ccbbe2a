// Furima is the backend of a flea-market app in one binary: a JSON API, a
// cache warmer, nginx in front, and a push-notification gateway. Run
// "furima dev" to have all of it on this machine, "furima help" for the rest.
package main

import (
	"os"

	"github.com/furima/furima/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], cli.System()))
}
