import gzip
from collections import Counter

import open_clip

from eradio.pretrain.merges import caption_words, learn, vocabulary_size, write_merges


def test_every_caption_word_is_one_token(tmp_path):
    merges = learn(caption_words())
    write_merges(tmp_path / "merges.txt.gz", merges)
    tokenizer = open_clip.SimpleTokenizer(str(tmp_path / "merges.txt.gz"), context_length=32)
    assert tokenizer.vocab_size == vocabulary_size(merges)
    for word in caption_words():
        if word.isalpha():
            assert len(tokenizer.encode(word)) == 1, word
    assert tokenizer.decode(tokenizer.encode("a red apple left of an owl")) == "a red apple left of an owl "
    assert tokenizer.decode(tokenizer.encode("zyx")) == "zyx "


def test_the_most_frequent_neighbours_merge_first():
    assert learn(Counter({"aab": 1, "ab": 5}))[0] == ("a", "b</w>")


def test_same_bytes_every_time(tmp_path):
    merges = learn(Counter({"owl": 2, "bowl": 1}))
    for name in ("first", "second"):
        write_merges(tmp_path / name, merges)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert gzip.decompress((tmp_path / "first").read_bytes()).startswith(b"#version")
