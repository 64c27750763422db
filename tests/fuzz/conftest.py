import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # judge and the makers of mutants
