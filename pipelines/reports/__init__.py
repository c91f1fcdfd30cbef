"""What a report says and shows: evidence, rules of the verdict, the page, the single file.

The run that writes a report is `pipelines.reporting`; pages read report.json and not the runs.
"""
