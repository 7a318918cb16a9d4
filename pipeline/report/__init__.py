"""What came out, for people and for programs: one page a day, one file of numbers, one short table."""

from pipeline.report.page import write_page as write_page
from pipeline.report.run_summary import summary as summary
