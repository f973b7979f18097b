-- Leases tasks that are due. A lease that runs out makes the task due again: nothing leaves the set but by its outcome.
-- KEYS[1] prefix; ARGV[1] owner, ARGV[2] most, ARGV[3] lease_ms, ARGV[4] '1' when time travel is allowed, ARGV[5…] ids: only these
-- Returns {now_ms, next_due_ms or '', {id, token, attempt, asked, due, payload}, ...}
local p = KEYS[1]
local now = now_ms(p, ARGV[4])
local due = p .. 'due'
local out = {tostring(now), ''}
local ids = {}
if #ARGV > 4 then
  for i = 5, #ARGV do
    local score = redis.call('ZSCORE', due, ARGV[i])
    if score and tonumber(score) <= now and #ids < tonumber(ARGV[2]) then ids[#ids + 1] = ARGV[i] end
  end
else
  ids = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))
end
local fence = #ids > 0 and redis.call('INCRBY', p .. 'fence', #ids) - #ids or 0
local later, over = {}, {}
for _, id in ipairs(ids) do
  local k = p .. 'task:' .. id
  local v = redis.call('HMGET', k, 'state', 'attempt', 'asked', 'due', 'payload')
  local state = v[1]
  if state == 'pending' or state == 'claimed' then
    fence = fence + 1
    local token, attempt = string.format('%.0f', fence), string.format('%.0f', (tonumber(v[2]) or 0) + 1)
    redis.call('HSET', k, 'state', 'claimed', 'token', token, 'attempt', attempt, 'owner', ARGV[1], 'claimed_at', now)
    later[#later + 1] = now + tonumber(ARGV[3])
    later[#later + 1] = id
    out[#out + 1] = {id, token, attempt, v[3], v[4], v[5]}
  elseif state then
    over[#over + 1] = id
  else
    -- A due id without its hash is a fault of the store: kept for an hour's look, and reported to the caller.
    later[#later + 1] = now + 3600000
    later[#later + 1] = id
    out[#out + 1] = {id, '', '0', '0', '0', ''}
  end
end
if #later > 0 then redis.call('ZADD', due, unpack(later)) end
if #over > 0 then redis.call('ZREM', due, unpack(over)) end
local following = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
if following[2] then out[2] = following[2] end
return out
