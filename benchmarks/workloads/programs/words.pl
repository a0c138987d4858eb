# Perl: lines are split by patterns, counted in hashes of hashes, and written again. Stands for log and text
# processing. `perl words.pl AMOUNT`
use strict;
use warnings;

my $amount = shift // 100;
srand 2;

my @kept;
for my $turn (1 .. 2 * $amount) {
    my %count;
    for my $number (1 .. 1500) {
        my $line = join ' ', map { "word" . int rand 5000 } 1 .. 3 + rand 9;
        for my $word (split /\s+/, $line) {
            $count{ length $word }{$word}++;
            push @{ $count{lines}{ substr $word, 0, 6 } }, $number;
        }
        (my $changed = $line) =~ s/word(\d+)/<$1>/g;
        $count{changed}{$number} = $changed;
    }
    push @kept, \%count;
    shift @kept if @kept > 4;
}
