-- Writes a decision, all of it or nothing, in this order of refusals:
--   duplicate  the delivery was handled before, by another commit
--   fenced     the task that this settles is not held with this token any more
--   conflict   the timeline is not at the expected version
--   taken      another incident holds a unique key
-- Safe to repeat: a commit that was applied and never answered finds its own nonce and answers ok again.
-- KEYS[1] prefix; ARGV[1] request (JSON), ARGV[2] '1' when time travel is allowed
-- Returns {status, version or detail, now_ms}
local p = KEYS[1]
local req = cjson.decode(ARGV[1])
local now = now_ms(p, ARGV[2])
local timeline = p .. 'inc:' .. req.incident .. ':timeline'

if req.delivery then
  local seen = redis.call('GET', p .. 'seen:' .. req.delivery)
  if seen then
    local bar = string.find(seen, '|', 1, true)
    if string.sub(seen, 1, bar - 1) == req.nonce then
      return {'ok', tostring(redis.call('LLEN', timeline)), tostring(now)}
    end
    return {'duplicate', string.sub(seen, bar + 1), tostring(now)}
  end
end
if req.settle and redis.call('HGET', p .. 'task:' .. req.settle.id, 'token') ~= req.settle.token then
  return {'fenced', req.settle.id, tostring(now)}
end
local length = redis.call('LLEN', timeline)
if length ~= req.expect then return {'conflict', tostring(length), tostring(now)} end
for _, key in ipairs(req.claims) do
  local holder = redis.call('GET', p .. 'unique:' .. key)
  if holder and holder ~= req.incident then return {'taken', holder, tostring(now)} end
end

for _, entry in ipairs(req.entries) do redis.call('RPUSH', timeline, entry) end
for _, key in ipairs(req.claims) do redis.call('SET', p .. 'unique:' .. key, req.incident) end
for _, key in ipairs(req.releases) do
  if redis.call('GET', p .. 'unique:' .. key) == req.incident then redis.call('DEL', p .. 'unique:' .. key) end
end
if req.number and tonumber(redis.call('GET', p .. 'number') or '0') < req.number then
  redis.call('SET', p .. 'number', string.format('%.0f', req.number))
end
if req.channel then redis.call('SET', p .. 'channel:' .. req.channel, req.incident) end
if length == 0 and #req.entries > 0 then redis.call('ZADD', p .. 'incidents', now, req.incident) end
if req.active == true then redis.call('SADD', p .. 'active', req.incident) end
if req.active == false then
  redis.call('SREM', p .. 'active', req.incident)
  redis.call('ZADD', p .. 'ended', now, req.incident)
  redis.call('ZREMRANGEBYSCORE', p .. 'ended', '-inf', now - req.ended_ms)
end

for _, id in ipairs(req.cancel) do
  local k = p .. 'task:' .. id
  local state = redis.call('HGET', k, 'state')
  if state == 'pending' or state == 'claimed' then -- an outcome that is recorded already stays
    redis.call('HSET', k, 'state', 'cancelled')
    redis.call('HDEL', k, 'token')
    redis.call('EXPIRE', k, req.keep_s)
  end
  redis.call('ZREM', p .. 'due', id)
end

for _, t in ipairs(req.tasks) do
  local k = p .. 'task:' .. t.id
  local state = redis.call('HGET', k, 'state')
  if not state or (t.again and state ~= 'pending' and state ~= 'claimed') then
    redis.call('DEL', k)
    redis.call('HSET', k, 'payload', t.payload, 'kind', t.kind, 'state', 'pending', 'due', t.due, 'attempt', 0, 'asked', 1)
    redis.call('ZADD', p .. 'due', t.due, t.id)
  elseif t.again then
    redis.call('HINCRBY', k, 'asked', 1)
    redis.call('HSET', k, 'payload', t.payload, 'due', t.due)
    if state == 'pending' then redis.call('ZADD', p .. 'due', t.due, t.id) end
  end
end

-- A cancel above may have ended this very claim: what it cancelled stays cancelled, what was asked for after it stays due.
if req.settle and redis.call('HGET', p .. 'task:' .. req.settle.id, 'token') == req.settle.token then
  local id = req.settle.id
  local k = p .. 'task:' .. id
  redis.call('HDEL', k, 'token')
  if redis.call('HGET', k, 'asked') ~= req.settle.asked then
    redis.call('HSET', k, 'state', 'pending', 'attempt', 0)
    redis.call('ZADD', p .. 'due', redis.call('HGET', k, 'due'), id)
  elseif req.settle.again_at then
    redis.call('HSET', k, 'state', 'pending', 'attempt', 0, 'due', req.settle.again_at)
    redis.call('ZADD', p .. 'due', req.settle.again_at, id)
  else
    redis.call('HSET', k, 'state', req.settle.state)
    redis.call('EXPIRE', k, req.keep_s)
    redis.call('ZREM', p .. 'due', id)
  end
end
if req.delivery then
  redis.call('SET', p .. 'seen:' .. req.delivery, req.nonce .. '|' .. req.incident, 'EX', req.seen_s)
end
return {'ok', tostring(length + #req.entries), tostring(now)}
