-- What the due set lacks, and what it has too much. KEYS[1] prefix; ARGV the ids of tasks that must be booked
-- Returns {{the ids that neither wait nor are being done}, {due ids without a task}}
local p = KEYS[1]
local due = p .. 'due'
local missing, orphans = {}, {}
for _, id in ipairs(ARGV) do
  local state = redis.call('HGET', p .. 'task:' .. id, 'state')
  if (state ~= 'pending' and state ~= 'claimed') or not redis.call('ZSCORE', due, id) then missing[#missing + 1] = id end
end
for _, id in ipairs(redis.call('ZRANGE', due, 0, 9999)) do
  if redis.call('EXISTS', p .. 'task:' .. id) == 0 then orphans[#orphans + 1] = id end
end
return {missing, orphans}
