"""What a day of data looks like in numbers, and whether it looks like the days before it. Needs no Spark.

steps.build_statistics publishes one row a column; statistics.judge holds a day against its reference days, from those
rows alone, and statistics.tell says what was found.
"""
