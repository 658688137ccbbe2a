package config

// nearest returns the candidate that differs from word in the fewest letters,
// or "" if none is close enough to be a likely misspelling.
func nearest(word string, candidates []string) string {
	best, bestDistance := "", 1+len(word)/4
	for _, c := range candidates {
		if d := distance(word, c, bestDistance); d < bestDistance || (d == bestDistance && best == "") {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b, or limit+1 if it is larger
// than limit for certain.
func distance(a, b string, limit int) int {
	if max(len(a), len(b))-min(len(a), len(b)) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
