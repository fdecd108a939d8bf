"""placeholder"""
def write_page(results, path):
    path.write_text("")
