-- Before an opening: was this delivery handled, is the same thing open already, and if neither, which number comes next?
-- KEYS[1] prefix; ARGV[1] delivery or '', ARGV[2] unique key or '', ARGV[3] '1': nobody else may get that number
-- Returns {'duplicate' | 'taken', incident id} or {'new', number}
local p = KEYS[1]
if ARGV[1] ~= '' then
  local seen = redis.call('GET', p .. 'seen:' .. ARGV[1])
  if seen then return {'duplicate', string.sub(seen, string.find(seen, '|', 1, true) + 1)} end
end
if ARGV[2] ~= '' then
  local holder = redis.call('GET', p .. 'unique:' .. ARGV[2])
  if holder then return {'taken', holder} end
end
if ARGV[3] == '1' then return {'new', tostring(redis.call('INCR', p .. 'number'))} end
return {'new', string.format('%.0f', tonumber(redis.call('GET', p .. 'number') or '0') + 1)}
