"""A result as one HTML file that needs no network: summary, charts, wafer map, plan to download."""

from waferloom.report.html.page import plan_html, report_html, save_report

__all__ = ["plan_html", "report_html", "save_report"]
