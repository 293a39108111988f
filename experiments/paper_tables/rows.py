"""The rows of the paper's tables (LTS, arXiv 2602.05965) as settings, each with the paper's own numbers.

Scores are percentages, seconds are mean wall clock per task, by backbone. They were measured by the paper's authors on
real models; nothing here did. Table 3's numbers: stored share, read rate ("recall"), cross share, in percent.
"""

from dataclasses import dataclass, field
from typing import Literal

QWEN, GPT = "Qwen3-32B", "GPT-5.1"
Objective = Literal["full", "no_usage", "no_sparsity"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: which policy, with how many teams, on what; its reference is M1-Parallel with as many teams."""

    table: str
    benchmark: Literal["assistantbench", "gaia"]
    policy: str  # a line of the comparison
    num_teams: int = 3
    summary_words: int = 20  # 15-20 words; 50 stands for 45-50
    objective: Objective = "full"  # of the controller's training
    paper: dict[str, tuple[float, float]] = field(default_factory=dict)  # by backbone: score in percent, seconds
    bank: tuple[float, float, float] | None = None  # table 3

    @property
    def setup(self) -> str:
        """Name of what it shares with other rows: one run folder."""
        words = "" if self.summary_words == 20 else f"-{self.summary_words}words"
        objective = "" if self.objective == "full" else f"-{self.objective}"
        return f"{self.benchmark}-{self.num_teams}teams{words}{objective}"


AB, GAIA = "assistantbench", "gaia"
ROWS = {
    "table1_ab_magentic_one": Row("1", AB, "magentic_one", paper={QWEN: (13.4, 1084), GPT: (21.7, 724)}),
    "table1_ab_m1_parallel": Row("1", AB, "m1_parallel", paper={QWEN: (14.7, 2239), GPT: (24.0, 1389)}),
    "table1_ab_lts": Row("1", AB, "lts", paper={QWEN: (20.3, 1479), GPT: (26.7, 882)}),
    "table1_gaia_magentic_one": Row("1", GAIA, "magentic_one", paper={QWEN: (22.5, 758), GPT: (37.5, 815)}),
    "table1_gaia_m1_parallel": Row("1", GAIA, "m1_parallel", paper={QWEN: (24.8, 1569), GPT: (47.9, 1005)}),
    "table1_gaia_lts": Row("1", GAIA, "lts", paper={QWEN: (30.4, 892), GPT: (49.1, 781)}),
    "table2_ab_none": Row("2", AB, "m1_parallel", paper={GPT: (24.0, 1389)}),
    "table2_ab_all": Row("2", AB, "all", paper={GPT: (23.0, 784)}),
    "table2_ab_judge": Row("2", AB, "judge", paper={GPT: (25.7, 856)}),
    "table2_ab_lts": Row("2", AB, "lts", paper={GPT: (26.7, 882)}),
    "table2_gaia_none": Row("2", GAIA, "m1_parallel", paper={GPT: (47.9, 1005)}),
    "table2_gaia_all": Row("2", GAIA, "all", paper={GPT: (44.2, 967)}),
    "table2_gaia_judge": Row("2", GAIA, "judge", paper={GPT: (45.8, 853)}),
    "table2_gaia_lts": Row("2", GAIA, "lts", paper={GPT: (49.1, 792)}),
    "table3_ab_all": Row("3", AB, "all", paper={GPT: (23.0, 784)}, bank=(100.0, 25.8, 66.0)),
    "table3_ab_judge": Row("3", AB, "judge", paper={GPT: (25.7, 856)}, bank=(44.4, 18.0, 66.6)),
    "table3_ab_lts": Row("3", AB, "lts", paper={GPT: (26.7, 882)}, bank=(84.9, 22.2, 69.0)),
    "table4_full": Row("4", GAIA, "lts", paper={GPT: (49.1, 792)}),
    "table4_no_usage": Row("4", GAIA, "lts", objective="no_usage", paper={GPT: (47.7, 925)}),
    "table4_no_sparsity": Row("4", GAIA, "lts", objective="no_sparsity", paper={GPT: (47.4, 983)}),
    "teams_2_m1_parallel": Row("teams", GAIA, "m1_parallel", 2, paper={QWEN: (23.0, 1161)}),
    "teams_2_lts": Row("teams", GAIA, "lts", 2, paper={QWEN: (28.5, 828)}),
    "teams_3_m1_parallel": Row("teams", GAIA, "m1_parallel", 3, paper={QWEN: (24.8, 1569)}),
    "teams_3_lts": Row("teams", GAIA, "lts", 3, paper={QWEN: (30.4, 892)}),
    "teams_5_m1_parallel": Row("teams", GAIA, "m1_parallel", 5, paper={QWEN: (25.4, 2034)}),
    "teams_5_lts": Row("teams", GAIA, "lts", 5, paper={QWEN: (31.6, 1234)}),
    "teams_10_m1_parallel": Row("teams", GAIA, "m1_parallel", 10, paper={QWEN: (22.4, 3411)}),
    "teams_10_lts": Row("teams", GAIA, "lts", 10, paper={QWEN: (29.1, 2521)}),
    "summary_15_20": Row("summary", GAIA, "lts", paper={QWEN: (30.4, 892)}),
    "summary_45_50": Row("summary", GAIA, "lts", summary_words=50, paper={QWEN: (29.7, 916)}),
    "decides_judge": Row("decides", GAIA, "judge", paper={QWEN: (26.8, 928)}),
    "decides_orchestrator": Row("decides", GAIA, "orchestrator", paper={QWEN: (27.9, 1108)}),
    "decides_lts": Row("decides", GAIA, "lts", paper={QWEN: (30.4, 892)}),
}
"""Every row by name. Rows of one setup share its rollouts: none is run twice."""
