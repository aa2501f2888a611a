-- Closed loop. Arguments behind `--`: file with one user id per line, path, n, places to skip, growth.
-- Every request asks for another user; when all have been asked for, n grows by the growth: with 1
-- no question comes twice, with 0 all come again.
local users, at, n, growth, threads = {}, 0, 10, 1, {}
local headers = {["Content-Type"] = "application/json"}
degraded, cached, refused, failed = 0, 0, 0, 0

function setup(thread) table.insert(threads, thread) end

function init(args)
  for line in io.lines(args[1]) do users[#users + 1] = line end
  wrk.path, n, at, growth = args[2], tonumber(args[3]), tonumber(args[4]), tonumber(args[5])
end

function request()
  local user, pass = users[at % #users + 1], math.floor(at / #users)
  at = at + 1
  local body = string.format('{"user_id":"%s","n":%d}', user, n + growth * (pass % 50))
  return wrk.format("POST", wrk.path, headers, body)
end

function response(status, _, body)
  if status == 429 then refused = refused + 1
  elseif status ~= 200 then failed = failed + 1 end
  if body:find('"degraded":["', 1, true) then degraded = degraded + 1 end
  if body:find('"cached":true', 1, true) then cached = cached + 1 end
end

function done(summary, latency, _)
  local counts = {degraded = 0, cached = 0, refused = 0, failed = 0}
  for _, thread in ipairs(threads) do
    for name in pairs(counts) do counts[name] = counts[name] + thread:get(name) end
  end
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    '\n{"duration_s":%f,"n_answers":%d,"p50_ms":%f,"p95_ms":%f,"p99_ms":%f,"p999_ms":%f,' ..
    '"n_failed":%d,"n_refused":%d,"n_degraded":%d,"n_cached":%d}\n',
    summary.duration / 1e6, summary.requests, latency:percentile(50) / 1e3,
    latency:percentile(95) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3,
    counts.failed + lost, counts.refused, counts.degraded, counts.cached))
end
