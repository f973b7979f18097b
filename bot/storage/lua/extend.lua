-- Renews leases. KEYS[1] prefix; ARGV[1] lease_ms, ARGV[2] '1' when time travel is allowed, then id, token, id, token …
-- Returns the ids that are still held.
local p = KEYS[1]
local now = now_ms(p, ARGV[2])
local held = {}
for i = 3, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  if redis.call('HGET', p .. 'task:' .. id, 'token') == token then
    redis.call('ZADD', p .. 'due', now + tonumber(ARGV[1]), id)
    held[#held + 1] = id
  end
end
return held
