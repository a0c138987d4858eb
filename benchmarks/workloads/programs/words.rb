# Ruby: objects, strings and hashes are built, selected and joined; some stay for a while. Stands for Ruby
# web applications. `ruby words.rb AMOUNT`

amount = Integer(ARGV[0] || 100)
random = Random.new(3)
Entry = Struct.new(:name, :tags, :text)

kept = []
(amount * 12 / 10).times do
  entries = Array.new(random.rand(1000..16_000)) do |number|
    Entry.new("name #{number}", { kind: "k#{number % 50}", place: number.to_s(36) }, "t" * random.rand(5..400))
  end
  groups = entries.group_by { |entry| entry.tags[:kind] }
  kept << groups.transform_values { |group| group.map(&:name).join(",") }
  kept << entries.select { |entry| entry.text.size > 380 }
  kept.shift(2) if kept.size > 12
end
