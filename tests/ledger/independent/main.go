// Verifies a checkpoint, an inclusion proof and a consistency proof with the code of Go's checksum database
// (golang.org/x/mod/sumdb), which shares nothing with the code under test.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"

	"independent/note"
	"independent/tlog"
)

type input struct {
	Key, Note, Leaf, OldRoot string
	Index, OldSize           int64
	Inclusion, Consistency   []string
}

func hashes(texts []string) []tlog.Hash {
	var found []tlog.Hash
	for _, text := range texts {
		found = append(found, hash(text))
	}
	return found
}

func hash(text string) tlog.Hash {
	raw, err := base64.StdEncoding.DecodeString(text)
	check(err)
	var found tlog.Hash
	copy(found[:], raw)
	return found
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func main() {
	var in input
	check(json.NewDecoder(os.Stdin).Decode(&in))
	verifier, err := note.NewVerifier(in.Key)
	check(err)
	opened, err := note.Open([]byte(in.Note), note.VerifierList(verifier))
	check(err)
	var origin, root string
	var size int64
	_, err = fmt.Sscanf(opened.Text, "%s\n%d\n%s\n", &origin, &size, &root)
	check(err)
	check(tlog.CheckRecord(hashes(in.Inclusion), size, hash(root), in.Index, hash(in.Leaf)))
	check(tlog.CheckTree(hashes(in.Consistency), size, hash(root), in.OldSize, hash(in.OldRoot)))
	fmt.Println("verified", origin, size)
}
