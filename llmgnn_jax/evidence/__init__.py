"""Why an item has its score: the edges that carry it, paths, sentences, pictures."""
