-- Leases tasks that are due. A lease that runs out makes the task due again: nothing leaves the set but by its outcome.
-- KEYS[1] prefix; ARGV[1] owner, ARGV[2] most, ARGV[3] lease_ms, ARGV[4] '1' when time travel is allowed
-- Returns {now_ms, next_due_ms or '', {id, token, attempt, asked, due, payload}, ...}
local p = KEYS[1]
local now = now_ms(p, ARGV[4])
local due = p .. 'due'
local out = {tostring(now), ''}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))) do
  local k = p .. 'task:' .. id
  local state = redis.call('HGET', k, 'state')
  if state == 'pending' or state == 'claimed' then
    local token = tostring(redis.call('INCR', p .. 'fence'))
    local attempt = redis.call('HINCRBY', k, 'attempt', 1)
    redis.call('HSET', k, 'state', 'claimed', 'token', token, 'owner', ARGV[1], 'claimed_at', now)
    redis.call('ZADD', due, now + tonumber(ARGV[3]), id)
    local v = redis.call('HMGET', k, 'asked', 'due', 'payload')
    out[#out + 1] = {id, token, tostring(attempt), v[1], v[2], v[3]}
  elseif state then
    redis.call('ZREM', due, id)
  else
    -- A due id without its hash is a fault of the store: kept for an hour's look, and reported to the caller.
    redis.call('ZADD', due, now + 3600000, id)
    out[#out + 1] = {id, '', '0', '0', '0', ''}
  end
end
local following = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
if following[2] then out[2] = following[2] end
return out
