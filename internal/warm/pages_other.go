//go:build !linux

package warm

// releasePages does nothing where memory cannot be told apart.
func releasePages() {}
