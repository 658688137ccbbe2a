package photo

import "fmt"

// Config is the [photo] table.
type Config struct {
	// Dir is the directory that holds the photos; it is made if it is missing. Default: "data/photos".
	Dir string `toml:"dir"`
	// MaxBytes is the largest upload, in bytes. Default: 8388608 (8 MiB).
	MaxBytes int64 `toml:"max_bytes"`
	// MaxPixels is the largest picture taken, in pixels (width times height); decoding takes up to 16 bytes of memory a pixel. Default: 40000000.
	MaxPixels int64 `toml:"max_pixels"`
	// MaxSide is the longest side taken, in pixels. Default: 10000.
	MaxSide int `toml:"max_side"`
	// Concurrency is the number of pictures decoded at once; together they never have more than max_pixels. Default: 2.
	Concurrency int `toml:"concurrency"`
	// Quality is the JPEG quality of what is stored, 1 to 100. Default: 82.
	Quality int `toml:"quality"`
}

// DefaultConfig returns the configuration that is used where the operator says nothing.
func DefaultConfig() Config {
	return Config{Dir: "data/photos", MaxBytes: 8 << 20, MaxPixels: 40_000_000, MaxSide: 10_000, Concurrency: 2, Quality: 82}
}

// Validate reports every fault with its key relative to the [photo] table.
func (c Config) Validate(fault func(key, problem string)) {
	if c.Dir == "" {
		fault("dir", "is empty")
	}
	if c.MaxBytes < 1024 || c.MaxBytes > 256<<20 {
		fault("max_bytes", fmt.Sprintf("is %d, must be 1024 to 268435456 (256 MiB)", c.MaxBytes))
	}
	if c.MaxPixels < 1 || c.MaxPixels > 1_000_000_000 {
		fault("max_pixels", fmt.Sprintf("is %d, must be 1 to 1000000000", c.MaxPixels))
	}
	if c.MaxSide < 1 || c.MaxSide > 65_535 {
		fault("max_side", fmt.Sprintf("is %d, must be 1 to 65535", c.MaxSide))
	}
	if c.Concurrency < 1 || c.Concurrency > 1024 {
		fault("concurrency", fmt.Sprintf("is %d, must be 1 to 1024", c.Concurrency))
	}
	if c.Quality < 1 || c.Quality > 100 {
		fault("quality", fmt.Sprintf("is %d, must be 1 to 100", c.Quality))
	}
}
