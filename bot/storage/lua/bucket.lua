-- One place in each of several token buckets, all or none. GCRA: a bucket is the moment at which it will be full again.
-- KEYS[1] prefix; ARGV[1] '1' when time travel is allowed, then for each bucket: name, period_ms (of one token), most, reserve
-- (tokens that are kept for the urgent). Returns the milliseconds to wait: 0 when all were taken.
-- Safe to repeat: a repetition costs a token more, never less.
local p = KEYS[1]
local now = now_ms(p, ARGV[1])
local wait = 0
local taken = {}
for i = 2, #ARGV, 4 do
  local key = p .. 'bucket:' .. ARGV[i]
  local period, most, reserve = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local paused = tonumber(redis.call('GET', key .. ':paused') or '0') - now
  if paused > wait then wait = paused end
  local full_at = math.max(tonumber(redis.call('GET', key) or '0'), now) + period
  local over = full_at - now - period * (most - reserve)
  if over > wait then wait = over end
  taken[#taken + 1] = {key, full_at}
end
if wait > 0 then return math.ceil(wait) end
for _, bucket in ipairs(taken) do
  redis.call('SET', bucket[1], string.format('%.0f', bucket[2]), 'PX', math.ceil(bucket[2] - now) + 1000)
end
return 0
