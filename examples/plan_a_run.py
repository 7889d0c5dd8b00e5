"""Plan the training of a 70-billion-parameter model on one wafer, and see how good the plan is."""

import waferloom as wl

job = wl.Training(wl.model("llama3-70b"), global_batch_size=128, seq_len=4096)
solution = wl.plan(job, wl.system("temp-6x8"))
report = solution.report

print(f"best plan    {solution.plan.strategy}")
print(f"placement    {solution.plan.placement}")
print(f"step         {report.step_s:.2f} s, {report.tokens_per_s:,.0f} tokens/s")
print(f"utilisation  {report.mfu:.1%} of the wafer's peak")
print(f"lower bound  {solution.tightest_bound.step_s:.2f} s ({solution.tightest_bound.name})")

print("\nWhere the step goes")
for part, seconds in report.parts_s.items():
    if seconds > 0.001 * report.step_s:
        print(f"  {seconds / report.step_s:6.1%}  {part}")

print("\nWhat ten percent more would give")
for gain in report.bottleneck:
    print(f"  {gain.speedup - 1:6.1%}  {gain.resource}")
