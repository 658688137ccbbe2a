package warm

import "testing"

// TestReleasePages holds that the program goes on without what was released.
func TestReleasePages(t *testing.T) {
	for range 3 {
		releasePages()
	}
}

func TestCodeOf(t *testing.T) {
	const exe = "/usr/bin/a b"
	if from, to, ok := codeOf("00400000-00f99000 r-xp 00000000 fe:00 99                 /usr/bin/a b", exe); !ok || from != 0x400000 || to != 0xf99000 {
		t.Errorf("%x %x %v", from, to, ok)
	}
	for _, line := range []string{
		"00f99000-01b0a000 r--p 00b99000 fe:00 99                 /usr/bin/a b",
		"01b0a000-01bad000 rw-p 0170a000 fe:00 99                 /usr/bin/a b",
		"7f0000000000-7f0000001000 r-xp 00000000 fe:00 98         /lib/libc.so.6",
		"7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0          [vdso]",
		"2bcf4fc00000-2bcf50400000 rw-p 00000000 00:00 0 ",
		"00400000 r-xp 00000000 fe:00 99                          /usr/bin/a b",
		"00400000-zz r-xp 00000000 fe:00 99                       /usr/bin/a b",
		"00500000-00400000 r-xp 00000000 fe:00 99                 /usr/bin/a b",
		"",
	} {
		if from, to, ok := codeOf(line, exe); ok {
			t.Errorf("%q is taken for code from %x to %x", line, from, to)
		}
	}
}
