-- Healthy: the newest sync of the source was good.
-- As kstatus reads it: Stalled is Degraded, Ready is Healthy, all else is on its way. Only for what the user suspended
-- does Argo CD have a word of its own.
local status = obj.status or {}
if status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "waiting for mlops-operator to see the newest spec"}
end
local found = {}
for _, condition in ipairs(status.conditions) do
  found[condition.type] = condition
end
if found.Reconciling ~= nil and found.Reconciling.status == "True" then
  return {status = "Progressing", message = found.Reconciling.message}
end
if found.Stalled ~= nil and found.Stalled.status == "True" then
  return {status = "Degraded", message = found.Stalled.message}
end
local ready = found.Ready
if ready == nil then
  return {status = "Progressing", message = "waiting for mlops-operator"}
end
if obj.spec.suspend == true and ready.reason == "Suspended" then
  return {status = "Suspended", message = ready.message}
end
if ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
return {status = "Progressing", message = ready.message}
