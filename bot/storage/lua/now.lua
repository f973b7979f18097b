-- now(p, travel): milliseconds of Redis TIME, plus the offset key when time travel is allowed (sandbox and tests only).
-- Put before every other script.
local function now_ms(p, travel)
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  if travel == '1' then now = now + tonumber(redis.call('GET', p .. 'clock:offset') or '0') end
  return now
end
