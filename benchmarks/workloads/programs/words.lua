-- Lua: tables of strings are built, sorted, joined and dropped. Stands for scripting inside games, proxies
-- and editors. `lua words.lua AMOUNT`

local amount = tonumber(arg[1] or 100)

math.randomseed(1)

local function entry(number)
  return { name = "name " .. number, tags = { "a" .. number % 97, "b" .. number % 89 }, score = math.random() }
end

local kept = {}
for turn = 1, 45 * amount // 10 do
  local entries = {}
  for number = 1, math.random(100, 6000) do
    entries[number] = entry(number)
  end
  table.sort(entries, function(a, b) return a.score < b.score end)
  local lines = {}
  for at, one in ipairs(entries) do
    lines[at] = one.name .. ":" .. table.concat(one.tags, ",")
  end
  kept[turn % 6] = table.concat(lines, "\n")
end
