"""What the real programs of `test_programs.py` are given to do, each with an output that is always the same."""

from __future__ import annotations

NUMPY = """
import numpy
random = numpy.random.default_rng(7)
matrix = random.standard_normal((300, 300))
values = random.standard_normal(400_000)
print(round(float(numpy.linalg.det(matrix @ matrix.T / 300)), 6))
print(round(float(numpy.sort(values)[::1000].sum()), 6))
print(round(float(numpy.fft.fft(values).real[:100].sum()), 6))
pieces = [numpy.concatenate([values[i : i + size], values[:size]]) for i, size in enumerate(range(1, 3000, 7))]
print(sum(len(piece) for piece in pieces), round(float(sum(piece.sum() for piece in pieces)), 6))
del pieces[::2]
print(numpy.array([str(x) for x in range(20000)])[::1999].tolist())
"""

SQLITE = """
PRAGMA journal_mode = memory;
CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT, amount REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
INSERT INTO words SELECT i, 'word ' || (i * 7919 % 60013) || hex(zeroblob(i % 40)), i * 0.5 FROM n;
CREATE INDEX by_word ON words (word);
SELECT count(*), sum(length(word)), sum(amount) FROM words;
SELECT word, count(*) FROM words GROUP BY substr(word, 1, 7) ORDER BY 2 DESC, 1 LIMIT 5;
DELETE FROM words WHERE id % 3 = 0;
VACUUM;
SELECT group_concat(length(word)) FROM (SELECT word FROM words ORDER BY word LIMIT 50);
PRAGMA integrity_check;
"""

C_SOURCE = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define TWICE(x) x x
#define MANY(x) TWICE(TWICE(TWICE(TWICE(TWICE(TWICE(x))))))
static int step(int i) { return i * 31 ^ i >> 3; }
int main(void) {
    int sum = 0;
    MANY(sum = step(sum + 1); if (sum & 8) sum -= (int)strlen("text"); else sum += sizeof(long);)
    printf("%d\\n", sum);
    return 0;
}
"""

CPP_SOURCE = """
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>
int main() {
    std::map<std::string, std::vector<int>> table;
    for (int i = 0; i < 50000; i++) table[std::to_string(i * 7919 % 5003)].push_back(i);
    std::vector<std::unique_ptr<std::string>> kept;
    std::vector<std::thread> threads;
    std::vector<std::size_t> sums(4);
    for (int t = 0; t < 4; t++)
        threads.emplace_back([&sums, t] {
            std::unordered_map<int, std::string> own;
            for (int i = 0; i < 20000; i++) own[i % 3000] += static_cast<char>('a' + (i + t) % 26);
            for (auto &entry : own) sums[t] += entry.second.size() * (entry.first + 1);
        });
    for (auto &thread : threads) thread.join();
    for (auto &entry : table) kept.push_back(std::make_unique<std::string>(entry.first + "!"));
    std::sort(kept.begin(), kept.end(), [](auto &a, auto &b) { return *a < *b; });
    std::regex number("([0-9]+)!");
    std::cout << table.size() << ' ' << *kept[100] << ' ' << std::regex_match(*kept[7], number);
    for (auto sum : sums) std::cout << ' ' << sum;
    std::cout << std::endl;
}
"""

PERL = """
my (%count, @lines);
for my $i (1 .. 60000) {
    my $word = join '', map { chr(97 + ($i * $_ * 7919) % 26) } 1 .. ($i % 9 + 1);
    $count{$word}++;
    push @lines, "$i: $word" if $word =~ /^(a|b+c).*[xyz]$/;
}
splice(@lines, 10, 500);
print scalar(keys %count), " ", scalar(@lines), " ", $lines[20] // '', "\\n";
my $text = join ',', sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print length($text), " ", substr($text, 0, 60), " ", unpack('%32C*', $text), "\\n";
"""

NODE = """
const crypto = require('crypto');
const zlib = require('zlib');
const kept = new Map();
for (let i = 0; i < 30000; i++) {
  kept.set('key' + (i * 7919) % 10007, { number: i, text: 'x'.repeat(i % 50), list: [i, i + 1] });
  if (i % 3 === 0) kept.delete('key' + (i * 31) % 10007);
}
const text = JSON.stringify([...kept.entries()].sort((a, b) => (a[0] < b[0] ? -1 : 1)));
const packed = zlib.gzipSync(Buffer.from(text));
const buffers = [];
for (let i = 0; i < 500; i++) buffers.push(Buffer.alloc(i * 100, i));
console.log(kept.size, text.length, zlib.gunzipSync(packed).toString() === text);
console.log(crypto.createHash('sha256').update(text).update(Buffer.concat(buffers)).digest('hex'));
"""

LUA = """
local words, parts = {}, {}
for i = 1, 80000 do
  local key = "k" .. (i * 7919 % 30011)
  words[key] = (words[key] or "") .. string.char(97 + i % 26)
  if i % 5 == 0 then words["k" .. (i * 31 % 30011)] = nil end
end
for key, text in pairs(words) do parts[#parts + 1] = key .. "=" .. text end
table.sort(parts)
local all, sum = table.concat(parts, ";"), 0
for i = 1, #all do sum = (sum * 31 + all:byte(i)) % 4294967291 end
print(#parts, #all, sum, collectgarbage("count") > 0)
"""

PHP = """<?php
$kept = [];
for ($i = 0; $i < 60000; $i++) {
    $text = str_repeat('x', $i % 50);
    $kept['key' . ($i * 7919) % 10007] = ['number' => $i, 'text' => $text, 'list' => range(0, $i % 7)];
    if ($i % 3 === 0) unset($kept['key' . ($i * 31) % 10007]);
}
ksort($kept);
$text = json_encode($kept);
$packed = gzcompress($text, 6);
echo count($kept), ' ', strlen($text), ' ', sha1(gzuncompress($packed)), PHP_EOL;
echo preg_match_all('/"number":([0-9]+)7,/', $text, $found), ' ', md5(implode(',', $found[1])), PHP_EOL;
echo strlen(serialize(new ArrayObject($kept))), ' ', ctype_alpha('abc') ? 'letters' : '', PHP_EOL;
"""

POSTSCRIPT = """%!PS
/Times-Roman findfont 24 scalefont setfont
1 1 40 {
  /i exch def
  gsave
  i 40 div 1 i 40 div sub 0.5 setrgbcolor
  300 400 translate i 9 mul rotate
  i 3 mul 0 moveto (line ) show i 10 string cvs show
  newpath 50 i 2 mul moveto 200 100 150 300 i 5 mul 200 curveto stroke
  grestore
} for
showpage
"""

PAGE = """<!doctype html>
<title>page</title>
<style>.box { display: inline-block; width: 20px; height: 20px; border-radius: 4px }</style>
<h1>A page</h1>
<div id="boxes"></div>
<pre id="sum"></pre>
<script>
  const boxes = document.getElementById('boxes');
  let sum = 0;
  for (let i = 0; i < 1500; i++) {
    const box = document.createElement('span');
    box.className = 'box';
    box.style.background = `hsl(${i % 360} 70% 60%)`;
    boxes.append(box);
    sum = (sum * 31 + i) % 1000003;
  }
  for (let i = 0; i < 700; i++) boxes.firstChild.remove();
  document.getElementById('sum').textContent = `${boxes.children.length} ${sum} ${boxes.offsetHeight > 0}`;
</script>
"""
