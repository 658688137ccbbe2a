package photo

import (
	"bytes"
	"encoding/binary"
)

// orientation is EXIF's: how the stored picture is to be turned and mirrored to
// be seen upright.
type orientation uint8

const upright orientation = 1

// swaps reports whether turning the picture upright swaps width and height.
func (o orientation) swaps() bool { return o >= 5 }

// orientationOf reads the orientation out of an EXIF block, which begins with the
// TIFF header. What is missing or broken means upright: it is a hint.
func orientationOf(exif []byte) orientation {
	const tagOrientation, typeShort = 0x0112, 3
	if len(exif) < 8 {
		return upright
	}
	var order binary.ByteOrder
	switch string(exif[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return upright
	}
	at := int64(order.Uint32(exif[4:]))
	if at+2 > int64(len(exif)) {
		return upright
	}
	entries := exif[at+2:]
	for range order.Uint16(exif[at:]) {
		if len(entries) < 12 {
			break
		}
		if order.Uint16(entries) == tagOrientation && order.Uint16(entries[2:]) == typeShort {
			if o := order.Uint16(entries[8:]); o >= 1 && o <= 8 {
				return orientation(o)
			}
			break
		}
		entries = entries[12:]
	}
	return upright
}

func exifOfJPEG(data []byte) (exif []byte) {
	walkJPEG(data, func(marker byte, payload []byte) bool {
		if marker == markerAPP1 && bytes.HasPrefix(payload, []byte("Exif\x00\x00")) {
			exif = payload[6:]
			return false
		}
		return marker != markerSOS
	})
	return exif
}

func exifOfPNG(data []byte) []byte {
	return chunk(data, 8, func(c []byte) (kind string, size int64, body int) {
		return string(c[4:8]), int64(binary.BigEndian.Uint32(c)) + 4, 8 // and a checksum of 4
	}, "eXIf")
}

func exifOfWebP(data []byte) []byte {
	exif := chunk(data, 12, func(c []byte) (kind string, size int64, body int) {
		n := int64(binary.LittleEndian.Uint32(c[4:]))
		return string(c[:4]), n + n&1, 8
	}, "EXIF")
	return bytes.TrimPrefix(exif, []byte("Exif\x00\x00")) // some writers put JPEG's prefix there
}

// chunk finds a chunk in a file made of them, from offset at. head reads the kind
// of the chunk that begins at c, the size of what follows its head, and that of its head; c has at least 8 bytes.
func chunk(data []byte, at int64, head func(c []byte) (kind string, size int64, body int), want string) []byte {
	for at+8 <= int64(len(data)) {
		kind, size, body := head(data[at:])
		begin := at + int64(body)
		end := begin + size
		if end > int64(len(data)) {
			return nil
		}
		if kind == want {
			return data[begin:end]
		}
		at = end
	}
	return nil
}
