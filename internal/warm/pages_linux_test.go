package warm

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReleasePages holds that the program goes on without what was released.
func TestReleasePages(t *testing.T) {
	for range 3 {
		releasePages()
	}
}

func TestParseMapping(t *testing.T) {
	const exe = "/usr/bin/a b"
	type want struct {
		M  mapping
		OK bool
	}
	for line, w := range map[string]want{
		"00400000-00f99000 r-xp 00000000 fe:00 99                 /usr/bin/a b":   {mapping{0x400000, 0xf99000, true}, true},
		"00f99000-01b0a000 r--p 00b99000 fe:00 99                 /usr/bin/a b":   {mapping{0xf99000, 0x1b0a000, true}, true},
		"01b0a000-01bad000 rw-p 0170a000 fe:00 99                 /usr/bin/a b":   {mapping{0x1b0a000, 0x1bad000, false}, true},
		"7f0000000000-7f0000001000 r-xp 00000000 fe:00 98         /lib/libc.so.6": {mapping{0x7f0000000000, 0x7f0000001000, false}, true},
		"7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0          [vdso]":         {mapping{0x7ffd00000000, 0x7ffd00001000, false}, true},
		"2bcf4fc00000-2bcf50400000 rw-p 00000000 00:00 0 ":                        {mapping{0x2bcf4fc00000, 0x2bcf50400000, false}, true},
		"Rss:                7780 kB":                                             {},
		"VmFlags: rd ex mr mw me":                                                 {},
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]":     {mapping{0xffffffffff600000, 0xffffffffff601000, false}, true},
		"00400000 r-xp 00000000 fe:00 99                          /usr/bin/a b":   {},
		"00400000-zz r-xp 00000000 fe:00 99                       /usr/bin/a b":   {},
	} {
		m, ok := parseMapping(line, exe)
		if diff := cmp.Diff(w, want{m, ok}, cmp.AllowUnexported(mapping{})); diff != "" {
			t.Errorf("%q -want +got:\n%s", line, diff)
		}
	}
}
