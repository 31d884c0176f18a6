package literal

import "math"

// What makes a word look random. The numbers are set by the tables in the
// tests: names, paths and camel case lie below, nearly all random words above.
const (
	shortest  = 20   // characters
	changing  = 0.30 // of all neighbours differ in class
	leastBits = 3.3  // of entropy in a character
	wordy     = 0.55 // of all characters stand in syllables
	syllable  = 4    // letters of one word, at least
)

// random finds a long word that looks random, or gives -1.
func random(text string) int {
	return words(text, func(int) bool { return false })
}

// randomButNames passes over what follows the name of an issuer and a colon.
func randomButNames(text string) int {
	return words(text, func(at int) bool {
		return at > 1 && text[at-1] == ':' && (lower(text[at-2]) || digit(text[at-2]) || text[at-2] == '-')
	})
}

// words judges each word, and within it each stretch without a joint.
func words(text string, skip func(at int) bool) int {
	for at := 0; at < len(text); {
		n := run(text[at:], joined, len(text))
		if n >= shortest && !skip(at) && (looksRandom(text[at:at+n]) || stretches(text[at:at+n])) {
			return at
		}
		at += n + 1
	}
	return -1
}

func stretches(word string) bool {
	for at := 0; at < len(word); {
		n := run(word[at:], alnum, len(word))
		if n >= shortest && looksRandom(word[at:at+n]) {
			return true
		}
		at += n + 1
	}
	return false
}

// looksRandom judges letters of both cases and digits by how often the class
// changes from one to the next, and by how much of them could be words. A capital
// that begins a word is no change, and neither is a joint.
func looksRandom(word string) bool {
	var counts [256]int
	var classes [4]int
	changes, neighbours, inWords, letters := 0, 0, 0, 0
	before := joint
	for i := range len(word) {
		c := class(word[i])
		classes[c]++
		counts[word[i]]++
		capital := before == big && c == small && i+1 < len(word) && class(word[i+1]) == small
		if c != joint && before != joint {
			neighbours++
			if before != c && !capital {
				changes++
			}
		}
		switch {
		case c == small && (before == small || capital):
			letters++
		case c == small || c == big:
			letters = 1
		default:
			letters = 0
		}
		if letters == syllable {
			inWords += syllable
		} else if letters > syllable {
			inWords++
		}
		before = c
	}
	n := len(word) - classes[joint]
	return n >= shortest && classes[small] > 0 && classes[big] > 0 && classes[number] > 0 &&
		float64(changes) >= changing*float64(neighbours) && float64(inWords) < wordy*float64(n) && entropy(counts[:], len(word)) >= leastBits
}

const (
	small = iota
	big
	number
	joint
)

func class(c byte) int {
	switch {
	case lower(c):
		return small
	case upper(c):
		return big
	case digit(c):
		return number
	}
	return joint
}

// entropy is in bits a character.
func entropy(counts []int, n int) (bits float64) {
	for _, c := range counts {
		if c > 0 {
			p := float64(c) / float64(n)
			bits -= p * math.Log2(p)
		}
	}
	return bits
}
